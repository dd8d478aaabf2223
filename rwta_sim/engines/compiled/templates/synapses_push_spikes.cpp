{# Brian2's spike queue; it holds sources instead of synapses where these are rows (see synapses.cpp). #}
{# USES_VARIABLES { _n_sources, _n_targets, delay, _source_dt } #}
{% extends 'common_group.cpp' %}

{% block before_code %}
    {% set scalar = c_data_type(variables['delay'].dtype) %}
    std::vector<{{scalar}}> &real_delays = {{get_array_name(variables['delay'], access_data=False)}};
    {{scalar}}* real_delays_data = real_delays.empty() ? 0 : &(real_delays[0]);
    int32_t* sources = {{owner.name}}.sources.empty() ? 0 : &({{owner.name}}.sources[0]);
    {{owner.name}}.prepare({{constant_or_scalar('_n_sources', variables['_n_sources'])}},
                           {{constant_or_scalar('_n_targets', variables['_n_targets'])}},
                           real_delays_data, real_delays.size(), sources, {{owner.name}}.sources.size(),
                           {{_source_dt}});
    {% if owner.prepost == 'pre' %}
    rwta_sim::rows_{{owner.name}}.prepare(*{{owner.name}}.queue[0],
                                          {{get_array_name(owner.synapses.variables['_synaptic_post'], access_data=False)}});
    {% endif %}
{% endblock %}

{% block maincode %}
    {% set _eventspace = get_array_name(eventspace_variable) %}
    {{owner.name}}.advance();
    {% if owner.prepost == 'pre' %}
    if(rwta_sim::rows_{{owner.name}}.contiguous || rwta_sim::rows_{{owner.name}}.single)
    {
        rwta_sim::rows_{{owner.name}}.push(*{{owner.name}}.queue[0], {{_eventspace}},
                                           {{_eventspace}}[_num{{eventspace_variable.name}}-1]);
        return;
    }
    {% endif %}
    {{owner.name}}.push({{_eventspace}}, {{_eventspace}}[_num{{eventspace_variable.name}}-1]);
{% endblock %}
